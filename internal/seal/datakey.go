package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	// keyFormat is the first byte of a serialized data key.
	keyFormat = 1
	// saltSize is that of XAES-256-GCM (https://c2sp.org/XAES-256-GCM).
	saltSize = 12
	// hashSize is the size of a keyed hash and of the key it is made with.
	hashSize = 32
	// maxGenerations bounds what is read: more means that the bytes are not a key.
	maxGenerations = 4096
)

// dataKey is a tenant's key: a sealing key a generation, and one hashing key that rotation leaves alone, since the index is made
// with it. It is a value: nothing changes it.
//
// Sealing is XAES-256-GCM: AES-256-GCM under a key derived for each message, so that random nonces stay safe for any number of
// messages. Plain AES-GCM is only good for 2^32 of them, which a busy tenant seals within weeks.
type dataKey struct {
	// sealing has the key of generation g at index g - 1.
	sealing *keyset.Handle
	hashing *keyset.Handle
}

// newDataKey makes a key of generation 1. Randomness is Tink's, which is crypto/rand.
func newDataKey() (*dataKey, error) {
	sealing, err := addGeneration(keyset.NewManager())
	if err != nil {
		return nil, err
	}
	parameters, err := hashingParameters()
	if err != nil {
		return nil, err
	}
	hashing, err := addKey(keyset.NewManager(), parameters)
	if err != nil {
		return nil, fmt.Errorf("making a hashing key: %w", err)
	}
	return &dataKey{sealing: sealing, hashing: hashing}, nil
}

// next returns the key with one more generation.
func (k *dataKey) next() (*dataKey, error) {
	sealing, err := addGeneration(keyset.NewManagerFromHandle(k.sealing))
	if err != nil {
		return nil, err
	}
	return &dataKey{sealing: sealing, hashing: k.hashing}, nil
}

func addGeneration(manager *keyset.Manager) (*keyset.Handle, error) {
	parameters, err := sealingParameters()
	if err != nil {
		return nil, err
	}
	handle, err := addKey(manager, parameters)
	if err != nil {
		return nil, fmt.Errorf("making a sealing key: %w", err)
	}
	return handle, nil
}

func sealingParameters() (key.Parameters, error) {
	parameters, err := xaesgcm.NewParameters(xaesgcm.VariantNoPrefix, saltSize)
	if err != nil {
		return nil, fmt.Errorf("choosing the sealing key: %w", err)
	}
	return parameters, nil
}

func hashingParameters() (key.Parameters, error) {
	parameters, err := hmacprf.NewParameters(hashSize, hmacprf.SHA256)
	if err != nil {
		return nil, fmt.Errorf("choosing the hashing key: %w", err)
	}
	return parameters, nil
}

func addKey(manager *keyset.Manager, parameters key.Parameters) (*keyset.Handle, error) {
	id, err := manager.AddNewKeyFromParameters(parameters)
	if err != nil {
		return nil, fmt.Errorf("adding a key: %w", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("making a key primary: %w", err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("making a key set: %w", err)
	}
	return handle, nil
}

// generation is the newest one, from 1.
func (k *dataKey) generation() uint32 {
	return uint32(k.sealing.Len()) //nolint:gosec // at most maxGenerations
}

// begins tells whether the first n generations of k and other are the same, and their hashing keys, when n is not 0.
func (k *dataKey) begins(other *dataKey, n uint32) (bool, error) {
	if n == 0 {
		return true, nil
	}
	if n > k.generation() || n > other.generation() {
		return false, nil
	}
	same, err := equalEntries(k.hashing, other.hashing, 0)
	for i := 0; same && err == nil && i < int(n); i++ {
		same, err = equalEntries(k.sealing, other.sealing, i)
	}
	return same, err
}

// equalEntries compares in constant time (Tink's keys do).
func equalEntries(a, b *keyset.Handle, i int) (bool, error) {
	x, err := a.Entry(i)
	if err != nil {
		return false, fmt.Errorf("reading a key set: %w", err)
	}
	y, err := b.Entry(i)
	if err != nil {
		return false, fmt.Errorf("reading a key set: %w", err)
	}
	return x.Key().Equal(y.Key()), nil
}

// marshal serializes the key in the clear; the caller wipes it as soon as it is wrapped.
// Form: keyFormat, then twice (uvarint length, serialized Tink key set): sealing, hashing.
func (k *dataKey) marshal() ([]byte, error) {
	out := []byte{keyFormat}
	for _, handle := range []*keyset.Handle{k.sealing, k.hashing} {
		var plain bytes.Buffer
		if err := insecurecleartextkeyset.Write(handle, keyset.NewBinaryWriter(&plain)); err != nil {
			return nil, fmt.Errorf("serializing a key set: %w", err)
		}
		longer := binary.AppendUvarint(bytes.Clone(out), uint64(plain.Len())) //nolint:gosec // a length
		longer = append(longer, plain.Bytes()...)
		wipe(out)
		wipe(plain.Bytes())
		out = longer
	}
	return out, nil
}

var errNotAKey = errors.New("not a data key")

// parseDataKey reads what marshal wrote. It keeps nothing of b.
func parseDataKey(b []byte) (*dataKey, error) {
	if len(b) == 0 || b[0] != keyFormat {
		return nil, errNotAKey
	}
	sealing, rest, err := parseKeyset(b[1:], sealingParameters)
	if err != nil {
		return nil, err
	}
	hashing, rest, err := parseKeyset(rest, hashingParameters)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 || hashing.Len() != 1 {
		return nil, errNotAKey
	}
	return &dataKey{sealing: sealing, hashing: hashing}, nil
}

// parseKeyset reads a key set whose keys all have these parameters, and returns what follows it.
func parseKeyset(b []byte, want func() (key.Parameters, error)) (handle *keyset.Handle, rest []byte, err error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) { //nolint:gosec // Uvarint reads no more than there is
		return nil, nil, errNotAKey
	}
	end := n + int(length) //nolint:gosec // at most len(b)
	handle, err = insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(b[n:end])))
	if err != nil || handle.Len() == 0 || handle.Len() > maxGenerations {
		// Tink's error is not kept: these bytes are secret.
		return nil, nil, errNotAKey
	}
	parameters, err := want()
	if err != nil {
		return nil, nil, err
	}
	for i := range handle.Len() {
		entry, err := handle.Entry(i)
		if err != nil || entry.KeyStatus() != keyset.Enabled || !entry.Key().Parameters().Equal(parameters) {
			return nil, nil, errNotAKey
		}
	}
	return handle, b[end:], nil
}

// primitives are what a data key does.
type primitives struct {
	// sealing has the primitive of generation g at index g - 1.
	sealing []tink.AEAD
	hashing *prf.Set
}

func (k *dataKey) primitives() (*primitives, error) {
	p := &primitives{sealing: make([]tink.AEAD, k.sealing.Len())}
	for i := range p.sealing {
		entry, err := k.sealing.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("reading a key set: %w", err)
		}
		if p.sealing[i], err = sealingPrimitive(entry.Key()); err != nil {
			return nil, err
		}
	}
	var err error
	if p.hashing, err = prf.NewPRFSet(k.hashing); err != nil {
		return nil, fmt.Errorf("preparing the hashing key: %w", err)
	}
	return p, nil
}

// sealingPrimitive makes a primitive of one key alone, so that the generation in front of a sealed value, and not trial,
// decides which key opens it.
func sealingPrimitive(sealing key.Key) (tink.AEAD, error) {
	manager := keyset.NewManager()
	id, err := manager.AddKey(sealing)
	if err != nil {
		return nil, fmt.Errorf("preparing a sealing key: %w", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("preparing a sealing key: %w", err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("preparing a sealing key: %w", err)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("preparing a sealing key: %w", err)
	}
	return primitive, nil
}

// wipe zeroes key bytes. What Tink copied meanwhile is beyond reach; this shortens how long the rest lies in memory.
func wipe(b []byte) { clear(b) }
