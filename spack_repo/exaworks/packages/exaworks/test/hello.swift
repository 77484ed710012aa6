// One app task, whose output is printed.
import files;
import io;
import string;

app (file answer) say()
{
  "echo" "from" "swift" @stdout=answer;
}

file answer<"answer.txt"> = say();
printf("%s", trim(read(answer)));
