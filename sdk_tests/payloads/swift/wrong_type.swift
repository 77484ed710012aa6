// This does not compile: the last line assigns a string to an integer.
import io;

printf("ANSWER ran=1");
int number = "forty-two";
