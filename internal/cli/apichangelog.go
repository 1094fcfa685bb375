package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/apidiff"
	"github.com/domicile-api/domicile/internal/durablefile"
)

const (
	// documentsFolder is where a project has its API documents.
	documentsFolder = "openapi"
	// globalName and connectName are the documents of a version that are no region's.
	globalName  = "global.yaml"
	connectName = "connect.yaml"
)

// releasePath is where a release leaves its document of an API version, changelogPath where the version's changelog is.
func releasePath(dir, release, version string) string {
	return filepath.Join(dir, "releases", release, version+".yaml")
}

func changelogPath(dir, version string) string {
	return filepath.Join(dir, "changelog", version+".yaml")
}

func apiChangelog() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "changelog [DIR]",
		Short: "Show what each release brought to the API, as Markdown; --check: exit 1 if the changelog that is kept is not that",
		Long: "Show what each release brought to the API, and what the next one will: of each version, the documents that releases left in\n" +
			"DIR/releases, compared with one another and with DIR/VERSION/global.yaml. No tag is asked, so it is the same in every clone. DIR is\n" +
			"openapi if it is not given. --release makes a release of the present documents: it copies them to DIR/releases, with the day.",
		Example: "  domicile api changelog\n  domicile api changelog --write --release v0.1.0",
		Args:    cobra.MaximumNArgs(1),
	}
	write := cmd.Flags().Bool("write", false, "write DIR/changelog/VERSION.yaml")
	check := cmd.Flags().Bool("check", false, "compare with DIR/changelog/VERSION.yaml instead")
	release := cmd.Flags().String("release", "", "name of a release to make of the present documents, e.g. v0.1.0")
	date := cmd.Flags().String("date", "", "its day, e.g. 2026-11-21 (default: today)")
	cmd.MarkFlagsMutuallyExclusive("write", "check")
	cmd.MarkFlagsMutuallyExclusive("release", "check")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir := documentsFolder
		if len(args) > 0 {
			dir = args[0]
		}
		versions, err := versionsIn(dir)
		if err != nil {
			return err
		}
		if *release != "" {
			if err := addRelease(dir, versions, *release, *date); err != nil {
				return err
			}
		}
		logs := make([]*apidiff.Changelog, len(versions))
		for i, version := range versions {
			if logs[i], err = changelogOf(cmd.Context(), dir, version); err != nil {
				return err
			}
		}
		switch {
		case *write:
			return writeChangelogs(dir, logs)
		case *check:
			return checkChangelogs(dir, logs)
		default:
			return showChangelogs(cmd, logs)
		}
	}
	return cmd
}

// versionsIn finds the versions that have documents.
func versionsIn(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "v*", globalName))
	if err != nil {
		return nil, usage("looking for documents in %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, usage("there are no documents in %s: no v1/%s", dir, globalName)
	}
	versions := make([]string, len(files))
	for i, path := range files {
		versions[i] = filepath.Base(filepath.Dir(path))
	}
	return versions, nil
}

// changelogOf compares the documents of a version.
func changelogOf(ctx context.Context, dir, version string) (*apidiff.Changelog, error) {
	present, err := readDocument(ctx, filepath.Join(dir, version, globalName))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(releasePath(dir, "*", version))
	if err != nil {
		return nil, usage("looking for releases in %s: %w", dir, err)
	}
	var releases []apidiff.Release
	for _, path := range files {
		d, err := readDocument(ctx, path)
		if err != nil {
			return nil, err
		}
		releases = append(releases, apidiff.Release{Name: filepath.Base(filepath.Dir(path)), Document: d})
	}
	log, err := apidiff.NewChangelog(version, releases, present)
	if err != nil {
		return nil, usage("%w", err)
	}
	return log, nil
}

// addRelease copies the present documents into the releases. A release that is there already is left as it was: history does not change.
func addRelease(dir string, versions []string, name, date string) error {
	if !apidiff.IsRelease(name) {
		return usage("--release: %q is not the name of a release; they are called v1.2.3", name)
	}
	day := time.Now()
	if date != "" {
		var err error
		if day, err = time.Parse(time.DateOnly, date); err != nil {
			return usage("--date: %q is not a day such as 2026-11-21", date)
		}
	}
	for _, version := range versions {
		from := filepath.Join(dir, version, globalName)
		data, err := readBounded(from)
		if err != nil {
			return usage("%w", err)
		}
		marked, err := apidiff.MarkReleased(from, data, day)
		if err != nil {
			return usage("%w", err)
		}
		path := releasePath(dir, name, version)
		if err := place(path, marked, durablefile.Create); err != nil {
			if errors.Is(err, fs.ErrExist) {
				err = fmt.Errorf("%s is there already; a release does not change", path)
			}
			return refused(err)
		}
	}
	return nil
}

// place writes a file into a folder that it makes if need be.
func place(path string, data []byte, write func(string, []byte, fs.FileMode) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // A source folder, for everyone to read.
		return fmt.Errorf("making a folder: %w", err)
	}
	return write(path, data, 0o644)
}

func writeChangelogs(dir string, logs []*apidiff.Changelog) error {
	for _, log := range logs {
		text, err := log.YAML()
		if err != nil {
			return refused(err)
		}
		if err := place(changelogPath(dir, log.Version), text, durablefile.Replace); err != nil {
			return refused(fmt.Errorf("writing the changelog: %w", err))
		}
	}
	return nil
}

func checkChangelogs(dir string, logs []*apidiff.Changelog) error {
	for _, log := range logs {
		path := changelogPath(dir, log.Version)
		want, err := log.YAML()
		if err != nil {
			return refused(err)
		}
		got, err := readBounded(path)
		if err != nil {
			return refused(fmt.Errorf("%w; write it with --write", err))
		}
		if !bytes.Equal(got, want) {
			return refused(fmt.Errorf("%s is not what the documents say; write it anew with --write", path))
		}
	}
	return nil
}

func showChangelogs(cmd *cobra.Command, logs []*apidiff.Changelog) error {
	if out, _ := cmd.Flags().GetString("output"); out == "json" {
		return showValue(cmd, logs, table{})
	}
	texts := make([]string, len(logs))
	for i, log := range logs {
		texts[i] = log.Markdown()
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), strings.Join(texts, "\n")); err != nil {
		return fmt.Errorf("writing the changelog: %w", err)
	}
	return nil
}
