// The sum of squares, each computed by a task of its own.
import io;
import stats;
import string;
import sys;

(int o) square(int i) "leaves" "1.0" [ "set <<o>> [ leaves::square <<i>> ]" ];

int count = string2int(argv("count"));
int squares[];
foreach i in [0:count - 1] {
  squares[i] = square(i);
}
printf("ANSWER sum=%i", sum_integer(squares));
