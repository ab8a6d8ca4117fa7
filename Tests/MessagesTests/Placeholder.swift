import Testing
@Test func placeholderMessages() {}
