import Testing
@Test func placeholderWorkload() {}
