// Package docs has the written documentation that the portal shows: the guides for those who call the API, and the list of errors.
package docs

import "embed"

// Guides has guides/*.md and errors.md, as they stand in this folder.
//
//go:embed guides/first-call.md guides/endpoints.md guides/residency.md guides/consistency.md guides/idempotency.md guides/errors.md
//go:embed guides/settings.md errors.md
var Guides embed.FS
