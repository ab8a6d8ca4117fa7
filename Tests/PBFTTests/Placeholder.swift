import Testing
@Test func placeholderPBFT() {}
