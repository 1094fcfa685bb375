package peer_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

func load(t *testing.T, dir string) *peer.Key {
	t.Helper()
	key, err := peer.LoadKey(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestLoadKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), string(frankfurt))
	key := load(t, dir)
	if again := load(t, dir); again.ID() != key.ID() || !again.Public().Equal(key.Public()) {
		t.Error("another key at the second start")
	}
	info, err := os.Stat(filepath.Join(dir, "peer.key"))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Errorf("peer.key: %v, %v", info, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "peer.pub"))
	if err != nil || string(text) != base64.StdEncoding.EncodeToString(key.Public())+"\n" {
		t.Errorf("peer.pub: %q, %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
	for name, spoil := range map[string]func(path string) error{
		"open to others": func(path string) error { return os.Chmod(path, 0o640) },
		"cut":            func(path string) error { return os.WriteFile(path, []byte("short"), 0o600) },
	} {
		dir := filepath.Join(t.TempDir(), name)
		load(t, dir)
		if err := spoil(filepath.Join(dir, "peer.key")); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.LoadKey(dir, rand.Reader); err == nil {
			t.Errorf("a key file that is %s is taken", name)
		}
	}
	if _, err := peer.LoadKey(filepath.Join(t.TempDir(), "x"), strings.NewReader("too little")); err == nil {
		t.Error("a key of too little randomness")
	}
}

// TestLoadKeyAtOnce: processes that start at once on a new folder have one key.
func TestLoadKeyAtOnce(t *testing.T) {
	t.Parallel()
	dir, ids := filepath.Join(t.TempDir(), "r"), make(chan string)
	const processes = 8
	for range processes {
		go func() {
			key, err := peer.LoadKey(dir, rand.Reader)
			if err != nil {
				ids <- err.Error()
				return
			}
			ids <- key.ID()
		}()
	}
	first := <-ids
	for range processes - 1 {
		if id := <-ids; id != first {
			t.Errorf("keys %s and %s", first, id)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	data, now := t.TempDir(), time.Unix(1<<31, 0)
	dir := filepath.Join(data, string(virginia))
	trusted := peer.NewTrusted(topologyfile.Default(), data, func() time.Time { return now })
	knows := func(want bool, key *peer.Key, when string) {
		t.Helper()
		public, ok := trusted.PeerKey(virginia, key.ID())
		if ok != want || ok && !public.Equal(key.Public()) {
			t.Errorf("%s: the key %s is known: %v", when, key.ID(), ok)
		}
	}
	first := newKey('x')
	knows(false, first, "before there is a folder")
	now = now.Add(time.Second)
	first = load(t, dir)
	knows(true, first, "at first")
	if err := os.Remove(filepath.Join(dir, "peer.key")); err != nil {
		t.Fatal(err)
	}
	second := load(t, dir)
	now = now.Add(time.Second)
	knows(true, second, "a new key, which is read again for")
	knows(true, first, "the old one beside it")
	if err := os.WriteFile(filepath.Join(dir, "peer.pub"), []byte("# one\n\n"+base64.StdEncoding.EncodeToString(second.Public())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(4 * time.Second)
	knows(true, first, "before it is looked at again")
	now = now.Add(time.Second)
	knows(false, first, "after it was taken away")
	knows(true, second, "the one that is left")
	if err := os.WriteFile(filepath.Join(dir, "peer.pub"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Second)
	knows(false, second, "in a torn file")
}

func TestTrusted(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	inFolder, inFile := load(t, filepath.Join(data, string(virginia))), newKey('f')
	outside := load(t, filepath.Join(data, "outside"))
	message := topologyfile.Default().Proto()
	message.GetRegions()[0].PeerKeys = []string{base64.StdEncoding.EncodeToString(inFile.Public())}
	top, err := topologyfile.New(message)
	if err != nil {
		t.Fatal(err)
	}
	own := load(t, filepath.Join(data, string(frankfurt)))
	trusted := peer.NewTrusted(top, data, time.Now)
	for _, test := range []struct {
		region ident.RegionID
		key    *peer.Key
		want   bool
	}{
		{virginia, inFolder, true}, {frankfurt, inFile, true}, {frankfurt, own, false}, {virginia, inFile, false}, {dublin, inFile, false},
		{"outside", outside, false}, {ident.RegionID("../" + filepath.Base(data) + "/outside"), outside, false}, {"", outside, false},
	} {
		key, ok := trusted.PeerKey(test.region, test.key.ID())
		if ok != test.want || ok && !bytes.Equal(key, test.key.Public()) {
			t.Errorf("the key %s of %q is known: %v", test.key.ID(), test.region, ok)
		}
	}
	if _, ok := peer.NewTrusted(top, "", time.Now).PeerKey(virginia, inFolder.ID()); ok {
		t.Error("a key in a folder that regions do not share")
	}
}
