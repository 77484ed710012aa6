// A power, computed by recursion from numbers of the command line, and the number of ranks of this run.
import io;
import location;
import string;
import sys;

(int o) power(int base, int exponent) {
  if (exponent == 0) { o = 1; }
  else { o = base * power(base, exponent - 1); }
}

printf("ANSWER value=%i", power(string2int(argv("base")), string2int(argv("exponent"))));
printf("ANSWER workers=%i", turbine_workers());
printf("ANSWER servers=%i", adlb_servers());
