"""What shoppers do, as the stream learns it: which items go together, which searches lead where, who does alike."""
