// One program for each member, each of which writes a file, and one program that reads all files.
import files;
import string;
import sys;

string python = argv("python");
string program = argv("program");

app (file o) member(int number, int of) {
  python program "member" number of @stdout=o;
}
app (file o) total(file inputs[]) {
  python program "total" inputs @stdout=o;
}

int count = string2int(argv("count"));
file members[];
foreach i in [0:count - 1] {
  file one <"member-%i.json" % i> = member(i, count);
  members[i] = one;
}
file all <"total.json"> = total(members);
