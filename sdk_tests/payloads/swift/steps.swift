// A diamond of programs with the statements in reverse order: only the inputs determine when each program runs.
import files;
import sys;

string python = argv("python");
string program = argv("program");

app (file o) step(string name, file inputs[]) {
  python program name inputs @stdout=o;
}

file top <"top.json">;
file left <"left.json">;
file right <"right.json">;
file bottom <"bottom.json">;

bottom = step("bottom", [left, right]);
left = step("left", [top]);
right = step("right", [top]);
top = step("top", []);
