"""Public data sets as shops for `intentstream evaluate`: a catalogue, and the shoppers' events in order of time."""
