// Package aws keeps regions on AWS: each in the AWS region of its id, its tables in DynamoDB, its queues in SQS, tenants' keys under a key
// of KMS, the directory in a global table of DynamoDB. All of it is made by the infrastructure in infra/, under the names of internal/deployment;
// this package finds it, and refuses to start where it is missing or of another release.
//
// Credentials, and endpoints where they are not AWS's own, come from the SDK's standard environment.
package aws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/deployment"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal/kms"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/breakerstore"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
	"github.com/domicile-api/domicile/internal/store/ownfeed"
	"github.com/domicile-api/domicile/internal/store/s3snapshot"
	"github.com/domicile-api/domicile/internal/topology"
)

// lookAgain is how often a process looks for what other processes of its region left undone.
const lookAgain = time.Minute

// commitRetry bounds how long the store itself tries a commit again: the sequencer sends a batch whose outcome is not known again by itself,
// and its callers wait.
const commitRetry = time.Second

// Backend is the app.Backend on AWS.
type Backend struct {
	names    deployment.Names
	accounts accounts
	bucket   string
}

var _ app.Backend = Backend{}

// Config says which deployment a backend is of.
type Config struct {
	// Deployment is the name that its infrastructure was deployed under; empty: "domicile".
	Deployment string
	// Accounts has the account of each region, as region=account with commas between, where regions have accounts of their own; empty: all
	// are in the one of the credentials. The infrastructure sets DOMICILE_ACCOUNTS to it.
	Accounts string
	// Snapshots is the bucket of the region's copy of the directory, DOMICILE_SNAPSHOTS; empty: the one that the infrastructure makes in the
	// account of the credentials, which AWS is asked for.
	Snapshots string
}

// New returns the backend of a deployment.
func New(cfg Config) (Backend, error) {
	n, err := deployment.New(cfg.Deployment)
	if err != nil {
		return Backend{}, err
	}
	accounts, err := parseAccounts(cfg.Accounts)
	return Backend{n, accounts, cfg.Snapshots}, err
}

// keyBackups is how long the keys table can be set back, see infra/domicile/tables.go.
const keyBackups = 24 * time.Hour

// Cloud implements app.Located.
func (b Backend) Cloud() *app.DemoCloud {
	return &app.DemoCloud{Deployment: b.names.Deployment(), Endpoint: os.Getenv(endpointVariable)}
}

// endpointVariable is the SDK's own name for another address of AWS.
const endpointVariable = "AWS_ENDPOINT_URL"

// Walk calls fn with every item of the tables of all regions, read as they lie there. It is for people who look, and for audits.
func (b Backend) Walk(ctx context.Context, topo *topology.Topology, fn func(region ident.RegionID, table string, it store.Item) error) error {
	for _, i := range topo.Regions() {
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(string(topo.ID(i))))
		if err != nil {
			return fmt.Errorf("reading the AWS configuration: %w", err)
		}
		for _, name := range []string{app.DirectoryTable, app.RegionalTable, app.KeysTable, app.ReplicaTable, app.SettingsTable} {
			table, err := dynamostore.New(dynamostore.Config{Table: b.names.Table(name), Client: dynamodb.NewFromConfig(cfg)})
			if err != nil {
				return err
			}
			if err := table.Walk(ctx, func(it store.Item) error { return fn(topo.ID(i), name, it) }); err != nil {
				return fmt.Errorf("reading the table %s of %s: %w", name, topo.ID(i), err)
			}
		}
	}
	return nil
}

// Open implements app.Backend.
func (b Backend) Open(ctx context.Context, o app.Opening) (*app.Resources, error) {
	cfg, err := configured(ctx, o.Region)
	if err != nil {
		return nil, err
	}
	opener := &opener{
		names: b.names, accounts: b.accounts, bucket: b.bucket, opening: o, aws: cfg, res: &app.Resources{Close: func() error { return nil }},
	}
	if err := opener.open(ctx); err != nil {
		return nil, fmt.Errorf("opening region %s on AWS: %w", o.Region, err)
	}
	return opener.res, nil
}

// credentialsTimeout bounds how long credentials are looked for: a metadata service that is not there may not even refuse.
const credentialsTimeout = 5 * time.Second

// configured reads the SDK's configuration, and makes sure that there are credentials.
func configured(ctx context.Context, region ident.RegionID) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(string(region)))
	if err != nil {
		return cfg, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(bounded); err != nil {
		return cfg, fmt.Errorf("there are no AWS credentials; give the process a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: %w", err)
	}
	return cfg, nil
}

// opener opens one region.
type opener struct {
	names    deployment.Names
	accounts accounts
	bucket   string
	opening  app.Opening
	aws      aws.Config
	res      *app.Resources
}

func (o *opener) open(ctx context.Context) error {
	if err := o.openDirectory(ctx); err != nil {
		return err
	}
	if err := o.openSecrets(ctx); err != nil || o.opening.Part == app.EdgeAlone {
		return err
	}
	if err := o.openTenantsKey(ctx); err != nil {
		return err
	}
	if err := o.openTables(ctx); err != nil {
		return err
	}
	if o.whole() {
		if err := o.openQueues(ctx); err != nil {
			return err
		}
		if err := o.openPlaces(); err != nil {
			return err
		}
	}
	return o.openSender()
}

// checks tells whether what is opened is looked at first. A function starts with a call that waits, and services of the same release have
// looked before.
func (o *opener) checks() bool { return o.whole() || o.opening.Part == app.EdgeAlone }

// whole tells whether the process answers calls with the region's services.
func (o *opener) whole() bool {
	return o.opening.Part == app.Whole || o.opening.Part == app.ServicesPart
}

// openDirectory opens the region's replica of the directory, and the last good copy of it.
func (o *opener) openDirectory(ctx context.Context) error {
	cfg := dynamostore.DirectoryConfig{Config: o.table(app.DirectoryTable)}
	open := func(_ context.Context, cfg dynamostore.DirectoryConfig) (*dynamostore.Directory, error) {
		return dynamostore.NewDirectory(cfg)
	}
	if o.checks() {
		open = dynamostore.OpenDirectory
	}
	table, err := open(ctx, cfg)
	if _, away := errors.AsType[*dynamostore.UnavailableError](err); away && o.opening.Part == app.EdgeAlone {
		// An edge goes on with the last good copy.
		o.opening.Logger.WarnContext(ctx, "the directory's table does not answer", slog.Any("error", err))
		table, err = dynamostore.NewDirectory(cfg)
	}
	if err != nil {
		return err
	}
	o.res.KeyBackups, o.res.Shared, o.res.Directory, o.res.DirectoryInterval = keyBackups, true, table, dynamostore.DirectoryInterval
	bucket, err := o.snapshots(ctx)
	if err != nil {
		return err
	}
	o.res.DirectoryCopy, err = s3snapshot.New(s3snapshot.Config{
		Client: s3.NewFromConfig(o.aws, func(opts *s3.Options) { opts.UsePathStyle = o.aws.BaseEndpoint != nil }),
		Bucket: bucket,
	})
	if err != nil {
		return fmt.Errorf("opening the copy of the directory: %w", err)
	}
	o.res.DirectoryCopyReadOnly = o.opening.Part != app.SweepPart && o.opening.Part != app.Whole
	return nil
}

// openSecrets reads what the region signs with, as far as the process does: calls that go on, and what it tells other regions.
func (o *opener) openSecrets(ctx context.Context) error {
	if o.checks() {
		secret, err := o.secret(ctx, o.names.RouteKey())
		if err != nil {
			return err
		}
		if o.res.RouteSeed, err = deployment.RouteSeed(secret); err != nil || o.opening.Part == app.EdgeAlone {
			return err
		}
	}
	secret, err := o.secret(ctx, o.names.PeerKey())
	if err != nil {
		return err
	}
	if o.res.PeerSeed, err = deployment.PeerSeed(secret); err != nil {
		return err
	}
	own, err := local.Derive(o.opening.Region, secret)
	if err != nil {
		return fmt.Errorf("deriving the key of the region: %w", err)
	}
	o.res.OwnKey = own
	return nil
}

// openTenantsKey opens the key of the tenants' keys, where there are any.
func (o *opener) openTenantsKey(ctx context.Context) error {
	if !o.opening.Part.Has(app.KeysTable) {
		return nil
	}
	open := func(_ context.Context, cfg kms.Config) (*kms.Wrapper, error) { return kms.New(cfg) }
	if o.checks() {
		open = kms.Open
	}
	tenants, err := open(ctx, o.tenantsKey(o.opening.Region))
	if err != nil {
		return fmt.Errorf("opening the key of the tenants' keys, which the region's infrastructure makes; deploy it if it is not there: %w", err)
	}
	o.res.TenantKeys, o.res.WrapFor = tenants, o.wrapFor
	return nil
}

// openTables opens the tables of the process's part.
func (o *opener) openTables(ctx context.Context) error {
	for _, t := range []struct {
		name string
		to   *store.Store
		// own says that the process itself tells of what it commits: others may not read the table's stream, or it has none.
		own bool
	}{
		{app.RegionalTable, &o.res.Regional, true},
		{app.SettingsTable, &o.res.Settings, true},
		{app.ReplicaTable, &o.res.Replica, false},
		{app.KeysTable, &o.res.Keys, false},
	} {
		if !o.opening.Part.Has(t.name) {
			continue
		}
		table, err := o.openTable(ctx, t.name)
		if err != nil {
			return err
		}
		guarded := breakerstore.New(table, t.name, o.opening.Logger)
		*t.to = guarded
		if t.own {
			*t.to = ownfeed.New(guarded, lookAgain)
		}
	}
	return nil
}

func (o *opener) openTable(ctx context.Context, name string) (*dynamostore.Store, error) {
	cfg := o.table(name)
	if name == app.RegionalTable {
		cfg.RetryFor = commitRetry
	}
	if o.checks() {
		return dynamostore.Open(ctx, cfg)
	}
	return dynamostore.New(cfg)
}

// openPlaces says where an audit looks.
func (o *opener) openPlaces() error {
	for _, p := range []audit.Place{
		{Name: app.DirectoryTable, Kind: audit.Directory},
		{Name: app.RegionalTable, Kind: audit.Regional},
		{Name: app.ReplicaTable, Kind: audit.Replicas},
		{Name: app.KeysTable, Kind: audit.Keys},
		{Name: app.SettingsTable, Kind: audit.Settings},
	} {
		table, err := dynamostore.New(o.table(p.Name))
		if err != nil {
			return err
		}
		p.Table = table
		o.res.Places = append(o.res.Places, p)
	}
	o.res.Places = append(o.res.Places, audit.Place{Name: app.QueuesTable, Kind: audit.Queues, Table: queueWalker{o.res.Queues, o.opening.Tag}})
	return nil
}

// table is how a table of the region is reached.
func (o *opener) table(name string) dynamostore.Config {
	return dynamostore.Config{
		Table: o.names.Table(name), Client: dynamodb.NewFromConfig(o.aws), Clock: o.opening.Clock, Logger: o.opening.Logger,
	}
}
