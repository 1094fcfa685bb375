// Package apidiff is change control for API documents: what changed between two of them and whether it breaks clients (Compare), what
// the documents of a version's regions do not have in common, and whether a reason was declared (Parity), and what each release
// brought (NewChangelog).
//
// What breaks a client is judged by oasdiff. What breaks a promise of residency is judged here: a data class that was loosened, a
// property that may go further than before, a call that is answered elsewhere.
//
// The package reads bytes that it is given. It opens no file, asks no network and knows no clock, and the same documents give the same
// result, in the same order.
package apidiff
