package seal

import (
	"errors"
	"fmt"
)

// Errors of a Keyring, besides those of the ports.
var (
	// ErrNotReady says that this region holds the tenant's key, but not every lawful region is known to hold it yet, so
	// nothing is sealed under it. Provision makes it ready. It is an ErrNoKey.
	ErrNotReady = fmt.Errorf("%w that every lawful region holds", ErrNoKey)
	// ErrPurged says that the tenant's keys were destroyed here; it never gets others. It is an ErrNoKey.
	ErrPurged = fmt.Errorf("%w: destroyed by a purge", ErrNoKey)
	// ErrConflict says that a region holds another key of the tenant than the one delivered to it, which is in use or is that
	// of the same or a later owner: the sender is not the tenant's owner any more, or does not hold its key yet. Nothing
	// is sealed under a key that is refused.
	ErrConflict = errors.New("seal: another key of this tenant is held")
	// ErrUnreachable says that another region, which is to hold the tenant's key, cannot be reached now.
	ErrUnreachable = errors.New("seal: a region that is to hold the key cannot be reached")
	// ErrNotLawful says that a region that is not lawful for the tenant was asked to make its key.
	ErrNotLawful = errors.New("seal: this region is not lawful for the tenant")
)
