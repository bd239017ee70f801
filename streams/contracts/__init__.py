"""The message contract: the messages, their encoding, and the errors of invalid messages. No I/O."""
