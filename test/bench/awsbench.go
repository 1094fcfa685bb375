package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// awsBenchmarks measures what the platform asks of AWS, over a cloud in memory, and adds the rows.
func awsBenchmarks(ctx context.Context, o options, dir string, t *table, stderr io.Writer) (err error) {
	_, _ = fmt.Fprintln(stderr, "counting what is asked of AWS")
	t.section("On AWS: DynamoDB calls and request units")
	if err := storeCalls(ctx, t); err != nil {
		return err
	}
	if err := unitRows(ctx, t); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(stderr, "committing against slow transactions")
	t.section("On AWS: one tenant's commits")
	if err := commitRows(ctx, o, t); err != nil {
		return err
	}
	s, err := startAWS(ctx, o, dir, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	figures, err := s.measure(ctx, stderr)
	if err != nil {
		return err
	}
	return figures.rows(s, t)
}
