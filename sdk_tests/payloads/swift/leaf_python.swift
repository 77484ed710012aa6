// A leaf function in Python: its code, and the expression that returns its value.
import io;
import python;
import sys;

printf("ANSWER value=%s", python("import hashlib, sys", "hashlib.sha256(b'%s').hexdigest()" % argv("text")));
