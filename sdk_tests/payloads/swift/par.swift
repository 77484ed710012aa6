// Tasks of two ranks each.
import io;

@par @dispatch=WORKER (int o) together(int i) "leaves" "1.0" "together";

int one = @par=2 together(3);
int other = @par=2 together(4);
printf("ANSWER sum=%i", one + other);
