package portal

// Release is what one release changed in the API. Package apidiff finds it out.
type Release struct {
	// Name is the release, e.g. "v1.2.0"; Date is when it was made, "2026-11-21", or empty.
	Name, Date string
	// Note says what it was compared with, in a sentence.
	Note    string
	Changes []Change
}

// Change is one difference between two documents.
type Change struct {
	// Operations are what it is about, e.g. "GET /v1/users/{id}"; none: the whole document.
	Operations []string
	// Text says what has changed.
	Text string
	// Breaks says that a client that worked before will not work any more; MayBreak, that one that relied on too much may not.
	Breaks, MayBreak bool
}
