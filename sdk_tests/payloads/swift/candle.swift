// A sweep over rates and steps: a program for each pair, and one that reads all results and names the best.
import files;
import string;
import sys;

string python = argv("python");
string program = argv("program");

app (file o) train(string rate, string steps) {
  python program "train" rate steps @stdout=o;
}
app (file o) best(file runs[]) {
  python program "best" runs @stdout=o;
}

string rates[] = split(argv("rates"), ",");
string counts[] = split(argv("steps"), ",");
int width = size(counts);
file all[];
foreach rate, i in rates {
  foreach count, j in counts {
    file one <"run-%i-%i.json" % (i, j)> = train(rate, count);
    all[i * width + j] = one;
  }
}
file chosen <"best.json"> = best(all);
