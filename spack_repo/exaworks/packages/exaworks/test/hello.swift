// Run one app task and print its output.
import files;
import io;
import string;

app (file answer) greet()
{
  "echo" "from" "swift" @stdout=answer;
}

file answer<"answer.txt"> = greet();
printf("%s", trim(read(answer)));
