"""HTTP/2 to providers: the protocol is h2's, connections and streams are here."""
