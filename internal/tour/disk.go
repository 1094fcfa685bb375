package tour

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// dumpBytes is how much of a stored user the tour shows.
const dumpBytes = 160

// sealedAtRest reads every file of the data folder, as grep -r would: the canary is in none of them. The user's id is GLOBAL, and in
// every region that has a projection of the user.
func (g *guide) sealedAtRest(ctx context.Context) error {
	if g.userID == "" {
		return errors.New("there is no user to look for")
	}
	if g.Stored != nil {
		return g.sealedInStores(ctx)
	}
	var files int
	var shown bool
	err := filepath.WalkDir(g.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		data, err := os.ReadFile(path) //nolint:gosec // The person who plays the tour names the folder.
		if err != nil {
			return ignoreGone(err)
		}
		files++
		if bytes.Contains(data, []byte(g.canary)) {
			return fmt.Errorf("personal data lies in clear in %s", path)
		}
		at := bytes.Index(data, []byte(g.userID))
		if at < 0 {
			return nil
		}
		rel, err := filepath.Rel(g.DataDir, path)
		if err != nil {
			return fmt.Errorf("naming %s: %w", path, err)
		}
		if region, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); region == frankfurt && !shown {
			shown = true
			g.sayf("    the bytes around the user's id in %s:", rel)
			g.dump(data, at)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the data folder: %w", err)
	}
	if !shown {
		g.sayf("    (the engine has compressed the user's row by now; no file has its id in clear)")
	}
	g.heldf("%q is in none of %d files; names, address and note are sealed under the tenant's key", g.canary+"@example.com", files)
	return nil
}

// sealedInStores reads every item of every table, as whoever got hold of them would.
func (g *guide) sealedInStores(ctx context.Context) error {
	items, shown := 0, false
	err := g.Stored(ctx, func(region, table string, key, value []byte) error {
		items++
		all := append(append([]byte(nil), key...), value...)
		if bytes.Contains(all, []byte(g.canary)) {
			return fmt.Errorf("personal data lies in clear in the table %s of %s", table, region)
		}
		if at := bytes.Index(all, []byte(g.userID)); at >= 0 && region == frankfurt && table == "regional" && !shown && len(all)-at > dumpBytes {
			shown = true
			g.sayf("    the bytes from the user's id on in the table %s of %s:", table, region)
			g.dump(all, at)
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("reading the stores: %w", err)
	case !shown:
		return errors.New("the user is not in the home's table")
	}
	g.heldf("%q is in none of %d items; names, address and note are sealed under the tenant's key", g.canary+"@example.com", items)
	return nil
}

// dump shows bytes from the id on.
func (g *guide) dump(data []byte, at int) {
	end := min(at+dumpBytes, len(data))
	for line := range strings.SplitSeq(strings.TrimRight(hex.Dump(data[at:end]), "\n"), "\n") {
		g.sayf("      %s", line)
	}
}

// ignoreGone passes over files that the engine removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// metrics reads what a monitoring system would.
func (g *guide) metrics(ctx context.Context) error {
	a, err := g.rest(ctx, restCall{method: http.MethodGet, url: g.Server + "/metrics"})
	if err != nil {
		return err
	}
	if err := a.want(http.StatusOK); err != nil {
		return err
	}
	for _, word := range []string{g.canary, "Lovelace", g.userID} {
		if bytes.Contains(a.body, []byte(word)) {
			return fmt.Errorf("a metric has %q", word)
		}
	}
	g.heldf("%d lines of metrics, none with the address, the name or the id", bytes.Count(a.body, []byte("\n")))
	return nil
}
