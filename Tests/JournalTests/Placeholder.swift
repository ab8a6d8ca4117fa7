import Testing
@Test func placeholderJournal() {}
