package cost

import (
	"bytes"
	_ "embed" // prices.yaml
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/domicile-api/domicile/internal/ident"
)

//go:embed prices.yaml
var listPrices []byte

// Price is what AWS asks for a unit of something.
type Price struct {
	// ID is how the model names it, e.g. "dynamodb.write".
	ID string `yaml:"id"`
	// Service and What are what people know it as; Unit is what the price is for, and Size how many of what is counted make one.
	Service string  `yaml:"service"`
	What    string  `yaml:"what"`
	Unit    string  `yaml:"unit"`
	Size    float64 `yaml:"size"`
	// Source is the page on which AWS publishes it.
	Source string `yaml:"source"`
	// Seen is the day of the copy of AWS's price list, or of the bill, that it was compared with, by region.
	Seen map[ident.RegionID]string `yaml:"seen"`
	// All is the price in every region, in US dollars a unit; where there is none, Regions has that of each.
	All     *float64                   `yaml:"all"`
	Regions map[ident.RegionID]float64 `yaml:"regions"`
}

// in returns the price in a region.
func (p *Price) in(region ident.RegionID) (float64, bool) {
	if p.All != nil {
		return *p.All, true
	}
	price, ok := p.Regions[region]
	return price, ok
}

// Prices are a list of prices. It never changes.
type Prices struct {
	list []Price
	byID map[string]*Price
}

// ListPrices returns the list prices that this release knows; see prices.yaml for their sources and dates.
func ListPrices() (*Prices, error) { return ParsePrices(listPrices) }

// ListPricesYAML returns the file that ListPrices reads, as a form for one's own.
func ListPricesYAML() []byte { return bytes.Clone(listPrices) }

// ErrPrices says that a file of prices cannot be used.
var ErrPrices = errors.New("cost: prices")

// ParsePrices reads a file of prices in the form of prices.yaml. It fails with ErrPrices when a price that the model needs is missing,
// is there twice, or is no number from 0 on.
func ParsePrices(data []byte) (*Prices, error) {
	var file struct {
		Currency string  `yaml:"currency"`
		Prices   []Price `yaml:"prices"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", ErrPrices, err)
	}
	if file.Currency != "USD" {
		return nil, fmt.Errorf("%w: the currency must be USD, not %q", ErrPrices, file.Currency)
	}
	p := &Prices{list: file.Prices, byID: make(map[string]*Price, len(file.Prices))}
	for i := range p.list {
		price := &p.list[i]
		if _, twice := p.byID[price.ID]; twice {
			return nil, fmt.Errorf("%w: %s is there twice", ErrPrices, price.ID)
		}
		if err := price.check(); err != nil {
			return nil, err
		}
		p.byID[price.ID] = price
	}
	for _, id := range priceIDs() {
		if p.byID[id] == nil {
			return nil, fmt.Errorf("%w: %s is missing", ErrPrices, id)
		}
	}
	return p, nil
}

func (p *Price) check() error {
	amounts := make([]float64, 0, len(p.Regions)+1)
	for _, amount := range p.Regions {
		amounts = append(amounts, amount)
	}
	if p.All != nil {
		amounts = append(amounts, *p.All)
	}
	switch {
	case !slices.Contains(priceIDs(), p.ID):
		return fmt.Errorf("%w: the model knows no %q", ErrPrices, p.ID)
	case p.Service == "" || p.What == "" || p.Unit == "" || p.Source == "":
		return fmt.Errorf("%w: %s lacks a service, a name, a unit or a source", ErrPrices, p.ID)
	case !(p.Size >= 1) || math.IsInf(p.Size, 0):
		return fmt.Errorf("%w: %s has the size %v; a unit has at least 1", ErrPrices, p.ID, p.Size)
	case (p.All != nil) == (len(p.Regions) > 0):
		return fmt.Errorf("%w: %s needs a price for all regions or one for each, and not both", ErrPrices, p.ID)
	case slices.ContainsFunc(amounts, func(a float64) bool { return !(a >= 0) || math.IsInf(a, 0) }):
		return fmt.Errorf("%w: %s has a price that is no number from 0 on", ErrPrices, p.ID)
	}
	for _, day := range p.Seen {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return fmt.Errorf("%w: %s was seen on %q, which is no date", ErrPrices, p.ID, day)
		}
	}
	return nil
}

// RegionError says that a region has no price for something: give a file of prices that has it.
type RegionError struct {
	Region ident.RegionID
	// Price is the price's id.
	Price string
}

// Error implements error.
func (e *RegionError) Error() string {
	return fmt.Sprintf("cost: no price for %s in %s; give a file of prices that has it", e.Price, e.Region)
}

// Of returns a price by its id, and what it is in a region in US dollars a unit.
func (p *Prices) Of(id string, region ident.RegionID) (*Price, float64, error) {
	price := p.byID[id]
	if price == nil {
		return nil, 0, fmt.Errorf("%w: %s is missing", ErrPrices, id)
	}
	amount, ok := price.in(region)
	if !ok {
		return nil, 0, &RegionError{Region: region, Price: id}
	}
	return price, amount, nil
}

// All returns the prices in the order of their file. They must not be changed.
func (p *Prices) All() []Price { return p.list }

// The prices that the model needs.
const (
	priceWrite          = "dynamodb.write"
	priceRead           = "dynamodb.read"
	priceReplicated     = "dynamodb.replicated"
	priceTableStorage   = "dynamodb.storage"
	priceRecovery       = "dynamodb.recovery"
	priceQueue          = "sqs.request"
	priceKeyRequest     = "kms.request"
	priceKey            = "kms.key"
	priceInvocation     = "lambda.request"
	priceCompute        = "lambda.compute"
	priceHTTP           = "http.request"
	priceHTTPMore       = "http.more"
	priceCPU            = "fargate.cpu"
	priceMemory         = "fargate.memory"
	priceBalancer       = "alb.hour"
	priceCapacity       = "alb.capacity"
	priceNAT            = "nat.hour"
	priceNATData        = "nat.data"
	priceEndpoint       = "network.endpoint"
	priceAddress        = "network.address"
	priceBetweenRegions = "network.regions"
	priceInternet       = "network.internet"
	pricePut            = "s3.put"
	priceObject         = "s3.storage"
	priceLogs           = "logs.ingest"
	priceLogStorage     = "logs.storage"
	priceAlarm          = "cloudwatch.alarm"
	priceMetric         = "cloudwatch.metric"
	priceSecret         = "secrets.secret"
	priceParameter      = "ssm.parameter"
	priceCheck          = "dns.check"
	priceQuery          = "dns.query"
	priceACL            = "waf.acl"
	priceRule           = "waf.rule"
	priceInspected      = "waf.request"
)

func priceIDs() []string {
	return []string{
		priceWrite, priceRead, priceReplicated, priceTableStorage, priceRecovery, priceQueue, priceKeyRequest, priceKey, priceInvocation,
		priceCompute, priceHTTP, priceHTTPMore, priceCPU, priceMemory, priceBalancer, priceCapacity, priceNAT, priceNATData, priceEndpoint,
		priceAddress, priceBetweenRegions, priceInternet, pricePut, priceObject, priceLogs, priceLogStorage, priceAlarm, priceMetric, priceSecret,
		priceParameter, priceCheck, priceQuery, priceACL, priceRule, priceInspected,
	}
}
