// A chain of tasks, each of which starts when the previous one has ended, and then many tasks that run a program.
import io;
import stats;
import string;
import sys;

@dispatch=WORKER (int o) probe(int i) "leaves" "1.0" [ "set <<o>> [ leaves::probe <<i>> ]" ];
(float o) now(int i) "leaves" "1.0" [ "set <<o>> [ leaves::now <<i>> ]" ];

(int o) chain(int i) {
  if (i == 0) { o = 0; }
  else { o = chain(probe(i)); }
}

app (void o) run(string name) {
  name;
}

int count = string2int(argv("count"));
string command = argv("command");
int ready = chain(string2int(argv("probes")));
float began = now(ready);
int ended[];
wait (began) {
  foreach i in [1:count] {
    void v = run(command);
    wait (v) { ended[i] = 1; }
  }
}
int tasks = sum_integer(ended);
printf("ANSWER tasks=%i", tasks);
printf("ANSWER seconds=%f", now(tasks) - began);
