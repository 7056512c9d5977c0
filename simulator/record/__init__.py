"""What happened: tables of a run, the ledger of bytes, measures computed from them."""
