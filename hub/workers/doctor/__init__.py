"""`hub doctor`: what is wrong with a hub and how to mend it, with a running hub and without one, on a broken one too."""
