"""Side by side: the same federated training in medgossip, in a bare loop, and in other frameworks."""
