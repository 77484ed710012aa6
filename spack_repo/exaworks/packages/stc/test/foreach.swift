// Eight app tasks and a printed line for each that has run.
import files;
import io;
import string;

app (file answer) say(int number)
{
  "echo" "task" number "ran" @stdout=answer;
}

foreach number in [1:8]
{
  file answer<"task-%i.txt" % number> = say(number);
  printf("%s", trim(read(answer)));
}
