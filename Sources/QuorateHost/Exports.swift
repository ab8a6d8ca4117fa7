// Whoever writes procedures needs their protocol and the encoding of values: one import brings all.
@_exported import Messages
@_exported import ShardState
