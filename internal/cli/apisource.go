package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/domicile-api/domicile/internal/apidiff"
)

const (
	// documentLimit bounds an API document, in bytes; ours are of some hundred kilobytes.
	documentLimit = 16 << 20
	// documentTimeout bounds the call for one.
	documentTimeout = 30 * time.Second
	// releasedDocument is what the name of a release means: this file of its tag, or the copy that it left.
	releasedDocument = "openapi/v1/global.yaml"
)

// readDocument reads the document that an argument names.
func readDocument(ctx context.Context, arg string) (*apidiff.Document, error) {
	data, err := readSource(ctx, arg)
	if err != nil {
		return nil, err
	}
	if len(data) > documentLimit {
		return nil, usage("%s: it is larger than %d MiB", arg, documentLimit>>20)
	}
	d, err := apidiff.Parse(arg, data)
	if err != nil {
		return nil, usage("%w", err)
	}
	return d, nil
}

// readSource reads a file; else what a URL, a release or a revision has.
func readSource(ctx context.Context, arg string) ([]byte, error) {
	if strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://") {
		return fetchDocument(ctx, arg)
	}
	data, err := readBounded(arg)
	switch revision, path, split := strings.Cut(arg, ":"); {
	case err == nil:
		return data, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, usage("%w", err)
	case apidiff.IsRelease(arg):
		return releaseDocument(ctx, arg)
	case split && revision != "" && path != "":
		return gitDocument(ctx, revision, path)
	default:
		return nil, usage("%s: there is no such file; nor is it a URL, a release such as v1.2.3, or REVISION:PATH", arg)
	}
}

// readBounded reads a file; of one that is too large it reads a byte more than allowed.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // The person who asks names the file.
	if err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	defer func() { _ = file.Close() }() // Only read.
	data, err := io.ReadAll(io.LimitReader(file, documentLimit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	return data, nil
}

func fetchDocument(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, usage("%s: it is no URL: %w", url, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, unreachable(fmt.Errorf("asking for the document: %w", err))
	}
	defer func() { _ = res.Body.Close() }() // Only read.
	if res.StatusCode != http.StatusOK {
		return nil, usage("%s: there is no document; the answer is %s", url, res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, documentLimit+1))
	if err != nil {
		return nil, unreachable(fmt.Errorf("reading %s: %w", url, err))
	}
	return data, nil
}

// releaseDocument takes a release's document from its tag, or, where there are no tags, from the copy that the release left.
func releaseDocument(ctx context.Context, name string) ([]byte, error) {
	data, err := gitDocument(ctx, "refs/tags/"+name, releasedDocument)
	if err == nil {
		return data, nil
	}
	path := releasePath(documentsFolder, name, "v1")
	copied, missing := readBounded(path)
	if missing == nil {
		return copied, nil
	}
	return nil, usage("there is no release %s here: %w; nor is there a file %s", name, err, path)
}

// gitDocument reads a file of a revision of the repository in the working directory.
func gitDocument(ctx context.Context, revision, path string) ([]byte, error) {
	if strings.HasPrefix(revision, "-") {
		return nil, usage("%q is not a revision", revision)
	}
	cmd := exec.CommandContext(ctx, "git", "cat-file", "blob", revision+":"+path) //nolint:gosec // No shell, and it is no option.
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, usage("%s:%s is of a git revision, and git is not installed", revision, path)
	case err != nil && complaint.Len() > 0:
		return nil, usage("git has no %s in %s: %s", path, revision, strings.TrimPrefix(oneLine(complaint.String()), "fatal: "))
	case err != nil:
		return nil, usage("reading %s of %s: %w", path, revision, err)
	}
	return out.Bytes(), nil
}
