// Package seal keeps regulated bytes unreadable at rest. Each tenant has a data key (a set of generations); each region that
// may lawfully open the tenant's data has its own wrapped copy of it in its keys table. A Sealer opens and seals with the
// data key; a Wrapper is the port to the region's own key (a file when embedded, KMS on AWS).
package seal

import (
	"context"
	"errors"

	"github.com/domicile-api/domicile/internal/ident"
)

// Wrapper is a region's own key. Plain data keys leave it only inside the process.
type Wrapper interface {
	// Wrap encrypts a tenant's key set so that only this region can read it. Any region of the jurisdiction may call it.
	Wrap(ctx context.Context, tenant ident.TenantID, keyset []byte) ([]byte, error)
	// Unwrap decrypts what Wrap made for the same tenant; ErrCannotOpen for anything else.
	Unwrap(ctx context.Context, tenant ident.TenantID, wrapped []byte) ([]byte, error)
}

// Bind is what a sealed value belongs to. It is authenticated, not stored: a sealed value copied to another row does not open.
type Bind struct {
	Tenant ident.TenantID
	// Type is the full name of the entity's message, or the kind of record.
	Type string
	// ID is the entity's id, or the record's key.
	ID string
}

// Sealer seals and opens a tenant's values in one region. All methods are safe for concurrent use.
type Sealer interface {
	// Seal encrypts plain under the tenant's newest data key.
	Seal(ctx context.Context, b Bind, plain []byte) ([]byte, error)
	// Open decrypts what Seal made with the same Bind under this or an older generation of the tenant's key.
	// It fails with ErrCannotOpen when the bytes were altered or belong elsewhere, and ErrNoKey when the key is not here.
	Open(ctx context.Context, b Bind, sealed []byte) ([]byte, error)
	// Hash is a keyed hash (32 bytes) of a value, the tenant's own and the same across generations: purpose separates uses,
	// e.g. "domicile.profile.v1.User.email".
	Hash(ctx context.Context, tenant ident.TenantID, purpose string, value []byte) ([]byte, error)
}

// Errors of every Sealer and Wrapper.
var (
	// ErrCannotOpen says that sealed bytes are not authentic for their Bind, or wrapped ones not for this region and tenant.
	ErrCannotOpen = errors.New("seal: cannot open")
	// ErrNoKey says that this region holds no data key of the tenant: it is not lawful here, or was purged.
	ErrNoKey = errors.New("seal: no key of this tenant in this region")
)
