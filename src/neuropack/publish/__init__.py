"""A checked release goes out: to DANDI, to a bucket, to another folder."""
