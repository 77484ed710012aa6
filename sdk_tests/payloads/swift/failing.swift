// A program that fails, and one that needs its output.
import files;
import sys;

string python = argv("python");
string program = argv("program");

app (file o) step(string name, file inputs[]) {
  python program name inputs @stdout=o;
}

file bad <"bad.json"> = step("fail", []);
file after <"after.json"> = step("after", [bad]);
