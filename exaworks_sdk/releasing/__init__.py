"""``exaworks release``: what makes and checks a release: cut, locks, licences, notes, upstream versions and wheels."""
