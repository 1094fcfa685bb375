package cost_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/cost"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// Every price has a source of AWS's own, and one for each region of the built-in topology.
func TestListPrices(t *testing.T) {
	t.Parallel()
	prices, err := cost.ListPrices()
	if err != nil {
		t.Fatal(err)
	}
	for _, price := range prices.All() {
		if !strings.HasPrefix(price.Source, "https://aws.amazon.com/") {
			t.Errorf("%s has the source %q", price.ID, price.Source)
		}
		for _, region := range topologyfile.Default().IDs() {
			if _, amount, err := prices.Of(price.ID, region); err != nil || amount <= 0 {
				t.Errorf("%s in %s: %v, %v", price.ID, region, amount, err)
			}
		}
		for region := range price.Seen {
			if _, _, err := prices.Of(price.ID, region); err != nil {
				t.Errorf("%s was seen in %s, and has no price there", price.ID, region)
			}
		}
	}
}

func TestParsePrices(t *testing.T) {
	t.Parallel()
	good := string(cost.ListPricesYAML())
	if _, err := cost.ParsePrices([]byte(good)); err != nil {
		t.Fatal(err)
	}
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the prices have no %q", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for what, text := range map[string]string{
		"nothing":              "",
		"no YAML":              "\t{",
		"another currency":     replace("USD", "EUR"),
		"an unknown price":     replace("id: kms.key", "id: kms.kex"),
		"a price twice":        replace("id: kms.key", "id: kms.request"),
		"an unknown field":     replace("currency: USD", "currency: USD\nregion: x"),
		"no number":            replace("all: 0.03}", "all: .nan}"),
		"less than nothing":    replace("all: 0.03}", "all: -0.03}"),
		"without end":          replace("us-east-1: 0.625", "us-east-1: .inf"),
		"no unit":              replace("unit: key-month", `unit: ""`),
		"a size of nothing":    replace("size: 1e4", "size: 0"),
		"no price at all":      replace(", all: 0.03}", "}"),
		"no source":            replace(`"https://aws.amazon.com/sqs/pricing/"`, `""`),
		"a day that is no day": replace("us-east-1: 2026-05-13", "us-east-1: 2026-13-13"),
	} {
		if _, err := cost.ParsePrices([]byte(text)); !errors.Is(err, cost.ErrPrices) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What a contract says counts.
	prices, err := cost.ParsePrices([]byte(replace("sqs/pricing/\", all: 0.50", "sqs/pricing/\", all: 0.25")))
	if err != nil {
		t.Fatal(err)
	}
	in := cost.Default(0, 0)
	list := estimate(t, in)
	in.Prices = prices
	own := estimate(t, in)
	wantNear(t, "at half the price", own.Sum("SQS", ""), list.Sum("SQS", "")/2)
}
