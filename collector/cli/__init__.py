"""The commands of ``exaworks collector``; each module imports click alone at its top. May import every other room."""
