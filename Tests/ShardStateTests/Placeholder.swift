import Testing
@Test func placeholderShardState() {}
