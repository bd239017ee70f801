"""Public data sets as shops: a catalogue and, in order of time, what its shoppers did, for `intentstream evaluate`."""
