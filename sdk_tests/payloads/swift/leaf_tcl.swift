// Leaf functions in Tcl: one from a package, with two results, and one defined in this file.
import io;
import string;
import sys;

(string reversed, int letters) measure(string text) "leaves" "1.0" [
  "lassign [ leaves::measure <<text>> ] <<reversed>> <<letters>>"
];
(string o) upper(string text) "turbine" "0.0" [ "set <<o>> [ string toupper <<text>> ]" ];

string reversed;
int letters;
(reversed, letters) = measure(argv("text"));
printf("ANSWER reversed=%s", reversed);
printf("ANSWER letters=%i", letters);
printf("ANSWER upper=%s", upper(argv("text")));
