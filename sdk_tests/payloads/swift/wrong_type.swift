// Does not compile: its last line gives a string to an integer.
import io;

printf("ANSWER ran=1");
int number = "forty-two";
