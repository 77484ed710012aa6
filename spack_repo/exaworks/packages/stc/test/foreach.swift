// Run eight app tasks and print a line for each of them.
import files;
import io;
import string;

app (file answer) run_task(int number)
{
  "echo" "task" number "ran" @stdout=answer;
}

foreach number in [1:8]
{
  file answer<"task-%i.txt" % number> = run_task(number);
  printf("%s", trim(read(answer)));
}
