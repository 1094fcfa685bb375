package main

import (
	"context"
	"fmt"
	"io"
)

// awsBenchmarks measures what the platform asks of AWS, over a cloud in memory, and adds the rows.
func awsBenchmarks(ctx context.Context, o options, dir string, t *table, stderr io.Writer) error {
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
	return commitRows(ctx, o, t)
}
