"""A lender's own payloads as our events, by a declarative mapping (TOML), before the codec.

`parsing` reads the file into `spec`; `reading` applies it to one document, plainly: that is what a mapping means. `compiled`
makes the same as code for JSON, and leaves to `reading` whatever is not plainly right. `decoder` is what a task uses;
`loading` reads the file and holds it against its own examples;
`trying` tells what it makes of a sample. `wire`, `avro`, `protobuf` and `registry` read records in
the wire format of a schema registry.
"""
