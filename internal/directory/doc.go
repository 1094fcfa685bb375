// Package directory is what every region knows of all tenants: where each lives, which credentials prove it, and which keys
// sign route headers. It holds GLOBAL data only. What it promises:
//
//   - Writing. Each writer region has an append-only log in the table. Its records are numbered from 1 without a gap, a record
//     that a Write returned is never lost or changed, and the decision behind it saw exactly the state of all earlier records
//     of that log; so ids, hosts and idempotency keys are unique per writer. See Writer.
//   - Following. A Follower that is given all records of a log in any order, any number of times, ends in the one state that
//     they fold to, and says how far it has come only once nothing before that is missing.
//   - Looking up. An Index answers without a lock, an allocation or I/O, from a few dozen bytes a tenant.
//   - Looking up without a follower. A ReadThrough, for a process that is frozen between calls, answers from the table or from what it
//     read a moment ago, so that nothing it says is older than that while the table can be read.
//   - Failing static. Without the table, known names go on as last seen, also after a restart, from a checksummed copy in a file or a
//     bucket; unknown ones get a typed error. A flood of unknown names costs one look-up each, a bounded memory and a bounded part of the
//     table's capacity.
//
// DESIGN.md beside this file has the failure modes and what was rejected.
package directory
