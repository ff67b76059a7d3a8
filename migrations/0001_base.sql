-- Base tables. Times are milliseconds since 1970 UTC (..._ms). Integer keys inside; the vendor-shaped ids
-- (FirmwareId, JobId, TaskId, IotId) are derived from them (engine/ids.h), so no text key is indexed here
-- but ProductKey, access key ids and device names.
-- No index and no index predicate mentions anything that changes on a task: that keeps its updates HOT.

-- ---- accounts ------------------------------------------------------------------------------------------
create table account (
	id         bigint generated always as identity primary key,
	name       text collate "C" not null unique,
	created_ms bigint not null
);

create table instance (
	id          bigint generated always as identity primary key,
	account_id  bigint not null references account,
	instance_id text collate "C" not null unique,   -- IotInstanceId
	is_default  boolean not null,
	created_ms  bigint not null
);
create unique index instance_default on instance (account_id) where is_default;

-- Something that only the right master key opens, sealed by whoever was first to have one; aad "master_key".
create table master_key_check (
	one        boolean primary key default true check (one),
	sealed     bytea not null
);

create table access_key (
	id         bigint generated always as identity primary key,
	account_id bigint not null references account,
	key_id     text collate "C" not null unique,    -- AccessKeyId
	secret     bytea not null,                      -- sealed, aad "access_key|<key_id>"
	name       text not null,
	role       text not null check (role in ('admin', 'operator', 'viewer')),
	disabled   boolean not null default false,
	created_ms bigint not null
);

-- Who may read the notifications of an account's products at the broker. The name is the MQTT user name; of the
-- password, which is random and long, only the digest is kept.
create table service_account (
	id         bigint generated always as identity primary key,
	account_id bigint not null references account,
	name       text collate "C" not null unique,
	secret_sha256 text not null,                    -- lower-case hex
	disabled   boolean not null default false,
	created_ms bigint not null
);

-- Used nonces of changing calls, in the transaction that they guard. Partitioned by arrival (15 minutes);
-- a text is looked up in all partitions under an advisory lock, so the key needs no uniqueness here.
create table nonce (
	key_id bigint not null,
	nonce  text collate "C" not null,
	at_ms  bigint not null
) partition by range (at_ms);
create index nonce_lookup on nonce (key_id, nonce);
create table nonce_rest partition of nonce default;

-- One row per changing call, in its transaction; by month, kept until the owner of the tables drops a month. Append-only:
-- otad's role may insert and nothing else (grants.sql), and no row is changed or deleted by anybody.
create sequence audit_id;
create table audit (
	id         bigint not null default nextval('audit_id'),
	at_ms      bigint not null,
	account_id bigint not null,
	key_id     text not null,        -- AccessKeyId, or "otactl:<user>"
	action     text not null,
	request_id text not null,
	target     text not null,        -- the id that the call is about, or ''
	result     text not null         -- 'OK' or the error code
) partition by range (at_ms);
create table audit_rest partition of audit default;
create function audit_append_only() returns trigger language plpgsql as $$
begin
	raise exception 'rows of audit are neither changed nor deleted';
end $$;
create trigger audit_append_only before update or delete on audit
	for each row execute function audit_append_only();

-- ---- products and devices ------------------------------------------------------------------------------
create table product (
	id          bigint generated always as identity primary key,
	account_id  bigint not null references account,
	instance_id bigint not null references instance,
	product_key text collate "C" not null unique,
	name        text not null,
	secret      bytea not null,      -- sealed, aad "product|<product_key>"
	description text not null default '',
	node_type   smallint not null,
	data_format smallint,
	commodity   text not null,       -- iothub | iothub_senior
	protocol    text,
	net_type    text not null default 'WIFI',
	auth_type   text not null default 'secret',
	id2         boolean not null default false,
	category_key text,
	validate_type smallint not null default 1,
	dynamic_register smallint not null default 0 check (dynamic_register between 0 and 2),  -- engine/device_register.h
	created_ms  bigint not null,
	deleted_ms  bigint               -- what is left of its jobs stays readable
);
create unique index product_name on product (account_id, name) where deleted_ms is null;

create table module (
	id          bigint generated always as identity primary key,
	product_id  bigint not null references product,
	name        text not null,
	alias       text not null default '',
	description text not null default '',
	created_ms  bigint not null,
	modified_ms bigint not null
);
create unique index module_name on module (product_id, lower(name));

create table device (
	id         bigint generated always as identity primary key,
	product_id bigint not null references product,
	name       text collate "C" not null,           -- DeviceName
	nickname   text,
	secret     bytea not null,       -- sealed, aad "device|<product_key>|<name>"
	disabled   boolean not null default false,
	apply_id   bigint,               -- the batch registration that made it
	created_ms bigint not null,
	modified_ms bigint,              -- last change of nickname or disabled; null: none yet
	status_ms  bigint,               -- when it was last disabled or enabled; null: never
	reset_ms   bigint not null default 0,  -- it may register dynamically until it logs in after that
	unique (product_id, name)
);
create index device_newest on device (product_id, id);
create index device_by_apply on device (apply_id, id) where apply_id is not null;

-- What a device says of itself. A version is written only when it differs from the stored one: prev_version
-- and reported_ms tell what it was a little earlier.
create table device_module (
	device_id    bigint not null,
	module       text collate "C" not null,         -- 'default' = the whole device
	version      text collate "C" not null,
	reported_ms  bigint not null,    -- when this version was first reported
	prev_version text collate "C",
	modified_ms  bigint not null,
	primary key (device_id, module)
) with (fillfactor = 80);

-- Versions that devices had until a time (null: none), older than what device_module tells: written only while a job
-- waits for the choice of its devices, which is by the version that they had when it was created.
create table version_before (
	device_id bigint not null,
	module    text collate "C" not null,
	version   text collate "C",
	until_ms  bigint not null,
	primary key (device_id, module, until_ms)
);

-- For the API's answers only; the engine never reads it.
create table device_session (
	device_id  bigint primary key,
	online     boolean not null,
	conn       bigint not null,      -- the broker connection the row speaks of
	ip         text not null default '',
	active_ms  bigint not null,      -- first connection ever
	online_ms  bigint not null,      -- last connect
	changed_ms bigint not null       -- last change of online
) with (fillfactor = 70);

-- Tags of a device: one object of texts. Searched by containment.
create table device_tags (
	device_id bigint primary key references device on delete cascade,
	tags      jsonb not null
);
create index device_tags_search on device_tags using gin (tags jsonb_path_ops);

create table device_group (
	id          bigint generated always as identity primary key,
	account_id  bigint not null references account,
	instance_id bigint not null references instance,
	group_id    text collate "C" not null unique,
	parent_id   bigint references device_group,
	kind        text not null,       -- LINK_PLATFORM | LINK_PLATFORM_DYNAMIC
	name        text not null,
	description text not null default '',
	created_ms  bigint not null,
	deleted_ms  bigint,              -- its jobs go on showing its name
	-- Of a dynamic group: the expression as it was given, and its terms as patterns of LIKE (engine/groupquery.h).
	expression  text,
	like_product_keys text[] not null default '{}',
	like_names        text[] not null default '{}',
	like_statuses     text[] not null default '{}',
	tag_keys          text[] not null default '{}',
	like_tags         text[] not null default '{}'
);
create unique index device_group_name on device_group (account_id, name) where deleted_ms is null;
create index device_group_parent on device_group (parent_id);
create table device_group_member (
	group_id  bigint not null references device_group,
	device_id bigint not null references device on delete cascade,
	primary key (group_id, device_id)
);
create index device_group_of_device on device_group_member (device_id);
create table device_group_tag (
	group_id bigint not null references device_group,
	key      text not null,
	value    text not null,
	primary key (group_id, key)
);

-- Batch registrations (ApplyId). Devices are made in the background, in chunks; `made` is where to resume.
create table device_apply (
	id         bigint generated always as identity (start with 1000000) primary key,
	account_id bigint not null references account,
	product_id bigint not null references product,
	status     text not null,        -- CHECK .. CREATE_FAILED (api.md §8.7)
	wanted     int not null,
	made       int not null default 0,
	names      text[],               -- of devices that were named; null: random names
	nicknames  text[],               -- beside the names; an element may be null
	invalid    text[] not null default '{}',  -- names that were taken, when they were checked or made
	created_ms bigint not null
);

-- Outbox to the brokers: credentials that changed and have not been handed over yet. The row goes when the
-- broker has acknowledged; whoever promised "can log in from now on" waits for that.
create table credential_change (
	id          bigint generated always as identity primary key,
	product_key text not null,
	device_name text not null,
	device_id   bigint not null,
	bulk        boolean not null default false  -- of an import: nobody waits for it, the others go first
);
create index credential_change_first on credential_change (id) where not bulk;
-- Service accounts, products, and products whose devices may register are handed over in the same way, in place of a
-- ProductKey '$service', '$product' and '$register' (engine/brokerlink.h).
create function credential_change_service() returns trigger language plpgsql as $$
begin
	insert into credential_change (product_key, device_name, device_id) values ('$service', new.name, 0);
	return null;
end $$;
create trigger credential_change_service after insert or update of disabled on service_account
	for each row execute function credential_change_service();
create function credential_change_product() returns trigger language plpgsql as $$
begin
	insert into credential_change (product_key, device_name, device_id)
	values ('$product', case when tg_op = 'DELETE' then old.product_key else new.product_key end, 0);
	return null;
end $$;
create trigger credential_change_product after insert or delete on product
	for each row execute function credential_change_product();

create table credential_feed (
	shard    int primary key,
	position bigint not null         -- grows with every delivery; a broker that lags behind gets a snapshot
);

-- ---- packages ------------------------------------------------------------------------------------------
create table firmware (
	id           bigint generated always as identity primary key,
	account_id   bigint not null references account,
	product_id   bigint not null references product,
	name         text not null,
	description  text not null default '',
	type         smallint not null,  -- 0 full, 1 differential
	module       text collate "C" not null default 'default',
	src_version  text collate "C" not null default '',
	dest_version text collate "C" not null,
	sign_method  text not null,      -- MD5 | SHA256
	status       smallint not null,  -- api.md §10.1
	udi          text not null default '',
	created_ms   bigint not null,
	modified_ms  bigint not null,
	deleted_ms   bigint              -- its jobs stay readable
);
create unique index firmware_name on firmware (account_id, name) where deleted_ms is null;
create unique index firmware_version on firmware (product_id, module, type, src_version, dest_version)
	where deleted_ms is null;

create table firmware_file (
	firmware_id bigint not null references firmware,
	n           smallint not null,   -- from 1
	object_key  text collate "C" not null,
	name        text not null default '',
	size        bigint not null,
	md5         text not null,       -- lower-case hex
	sha256      text not null,
	primary key (firmware_id, n)
);
create index firmware_file_object on firmware_file (object_key);

-- ---- jobs ----------------------------------------------------------------------------------------------
create table job (
	id               bigint generated always as identity primary key,
	account_id       bigint not null references account,
	product_id       bigint not null references product,
	firmware_id      bigint not null references firmware,
	kind             smallint not null,       -- enum job_kind
	target_selection text not null,           -- ALL | SPECIFIC | GRAY | GROUP
	src_versions     text[] not null default '{}',
	gray_milli       int,                     -- percent * 1000
	gray_text        text,                    -- as it was given
	group_id         bigint references device_group,
	dynamic_mode     smallint,
	schedule_ms      bigint,
	finish_ms        bigint,
	retry_interval   int,                     -- minutes
	retry_count      int,
	timeout_min      int,
	max_per_minute   int not null,
	overwrite_mode   smallint not null default 1,
	need_push        boolean not null default true,
	need_confirm     boolean not null default false,
	download_mqtt    boolean not null default false,
	multi_module     boolean not null default false,
	tag_keys         text[] not null default '{}',
	tag_values       text[] not null default '{}',
	created_ms       bigint not null,
	modified_ms      bigint not null
);
create index job_firmware on job (firmware_id, id);

-- The devices of a SPECIFIC job, as they were named.
create table job_target (
	job_id     bigint primary key references job,
	device_ids bigint[] not null
);

-- One narrow row per job, no secondary index: the job's lock. Every transaction that moves tasks first locks
-- the rows concerned, FOR NO KEY UPDATE, ascending, all at once (docs/architecture.md, "Lock order").
create table job_run (
	job_id         bigint primary key references job,
	status         smallint not null,   -- enum job_status
	paused         boolean not null default false,
	strategy_ended boolean not null default false, -- of a dynamic job: CANCELED for everyone, while its tasks go on
	shown          smallint not null generated always as (case when strategy_ended then 4 else status end) stored,
	making         smallint not null,   -- enum job_making
	max_per_minute int not null,
	chosen         int not null default 0,    -- rows written by the maker's first step
	made_seq       int not null default 0,    -- tasks up to here exist; rows above are nobody's yet
	order_no       int not null default 0,    -- last bulk order
	rescan_no      int not null default 0,    -- raised when a task becomes due elsewhere than in the engine
	settings_no    int not null default 0,    -- raised when calls change what the engine keeps of the job
	n_confirm      int not null default 0,
	n_queued       int not null default 0,
	n_notified     int not null default 0,
	n_in_progress  int not null default 0,
	n_succeeded    int not null default 0,
	n_failed       int not null default 0,
	n_canceled     int not null default 0,
	started_ms     bigint,
	ended_ms       bigint,
	modified_ms    bigint not null
) with (fillfactor = 20);

-- The strategy of a dynamic job, while it lives: it gives tasks to devices that come to match it.
create table strategy (
	job_id      bigint primary key references job,
	product_id  bigint not null references product,
	firmware_id bigint not null unique references firmware, -- a package has one at a time
	module      text collate "C" not null,
	group_id    bigint references device_group,             -- null: by source versions
	sweep_ms    bigint not null                             -- when the whole product is to be looked at again
);
create index strategy_product on strategy (product_id);

-- Devices that a strategy may match now. The row goes when the device has been looked at.
create table strategy_check (
	id          bigint generated always as identity primary key,
	product_id  bigint not null,
	device_id   bigint not null,
	module      text collate "C" not null,  -- of which a version was reported; '': anything else about the device
	reported_ms bigint not null             -- when; 0 for ''
);
create index strategy_check_product on strategy_check (product_id, id);

-- The jobs that have not ended: what the engine walks. A row goes in the transaction that ends its job.
create table live_job (
	job_id bigint primary key
);

-- Those whose devices are not chosen yet (job_run.making is 1): few, and asked for with every version that is reported.
create table job_choosing (
	job_id     bigint primary key,
	created_ms bigint not null        -- as the job's
);

-- fillfactor: the tasks of a page are pushed in one transaction; with room for all of their new rows no index changes.
create table task (
	job_id      bigint not null,
	seq         int not null,
	device_id   bigint not null,
	state       smallint not null,            -- enum task_state
	order_no    int not null default 0,       -- job_run.order_no when it was last moved
	progress    smallint not null default 0,  -- percent
	retries     smallint not null default 0,  -- used up
	pushes      int not null default 0,       -- times pushed or answered
	repushes    smallint not null default 0,  -- pushes since the last progress, for the back-off
	timeout_min smallint not null default 0,  -- its time limit; 0: none
	push_conn   bigint not null default 0,    -- connection it was last pushed to
	push_ms     bigint not null default 0,    -- last push
	timeout_ms  bigint,                       -- end of the time limit; null: the clock does not run
	retry_ms    bigint,                       -- a retry is pending and due then
	verdict_ms  bigint,                       -- a third version is judged then
	pending_version text collate "C",         -- that version
	fail_ms     bigint not null default 0,    -- last failure that was counted, or when it was run again
	fail_desc   text,                         -- what that failure said
	src_version text collate "C",             -- null: never reported
	task_desc   text not null default '',
	created_ms  bigint not null,
	modified_ms bigint not null,
	primary key (job_id, seq)
) with (fillfactor = 50);
create index task_device on task (job_id, device_id);

-- One row per unfinished task: the way from a report to its task, and the net under "a device has at most one
-- unfinished task". module '' = the whole device: used by every job without MultiModuleMode.
create table active_task (
	device_id bigint not null,
	module    text collate "C" not null,
	job_id    bigint not null,
	seq       int not null,
	primary key (device_id, module)
);

-- Due times. A stale row is harmless: whoever fires it looks at the task again.
create table timer (
	due_ms bigint not null,
	job_id bigint not null,
	seq    int not null,                      -- 0: the job itself
	kind   smallint not null,                 -- enum timer_kind
	primary key (due_ms, job_id, seq, kind)
);

-- Bulk orders: a task whose order_no is below `no` and whose state is in the mask counts as CANCELED from the
-- moment this row is committed, and is written so later, in chunks.
create table job_order (
	job_id     bigint not null references job,
	no         int not null,
	state_mask int not null,                  -- bit n = enum task_state n
	reason     text not null,                 -- TaskDesc
	why        smallint not null default 10,  -- enum event_why, for the log: 10 cancel, 12 finish time
	at_ms      bigint not null,
	written_seq int not null default 0,       -- rows up to here are written
	done       boolean not null default false,
	primary key (job_id, no)
);

create index job_order_open on job_order (job_id) where not done;

-- Every move of a task, append-only, by month. A task's moves happen under its job's lock, so `no` gives their
-- order; times do not: a report counts from when it was received, a timer from when it was due.
create sequence task_event_no;
create table task_event (
	no         bigint not null default nextval('task_event_no'),
	at_ms      bigint not null,
	job_id     bigint not null,
	seq        int not null,
	to_seq     int not null,                  -- = seq, or the end of a range made together
	from_state smallint not null,
	to_state   smallint not null,
	why        smallint not null,             -- enum event_why
	detail     text
) partition by range (at_ms);
create index task_event_task on task_event (job_id, seq);
create table task_event_rest partition of task_event default;

-- How many tasks are in which state, for lists of one state: block n of a job is its tasks 2048 n + 1 .. 2048 (n + 1).
-- Counted from the log, under the job's lock as that is.
create table task_tally (
	job_id        bigint not null,
	block         int not null,
	n_confirm     int not null,
	n_queued      int not null,
	n_notified    int not null,
	n_in_progress int not null,
	n_succeeded   int not null,
	n_failed      int not null,
	n_canceled    int not null,
	primary key (job_id, block)
) with (fillfactor = 50);

-- Nearly all moves are of one task; ranges are of tasks that were made together.
create function task_tally_moved() returns trigger language plpgsql as $$
begin
	insert into task_tally as t
	select m.job_id, m.block,
	       sum(case m.to_state when 1 then n else 0 end - case m.from_state when 1 then n else 0 end),
	       sum(case m.to_state when 2 then n else 0 end - case m.from_state when 2 then n else 0 end),
	       sum(case m.to_state when 3 then n else 0 end - case m.from_state when 3 then n else 0 end),
	       sum(case m.to_state when 4 then n else 0 end - case m.from_state when 4 then n else 0 end),
	       sum(case m.to_state when 5 then n else 0 end - case m.from_state when 5 then n else 0 end),
	       sum(case m.to_state when 6 then n else 0 end - case m.from_state when 6 then n else 0 end),
	       sum(case m.to_state when 7 then n else 0 end - case m.from_state when 7 then n else 0 end)
	from (
		select job_id, (seq - 1) >> 11 as block, from_state, to_state, count(*) as n
		from moved where seq = to_seq and from_state <> to_state
		group by 1, 2, 3, 4
		union all
		select e.job_id, b.block, e.from_state, e.to_state,
		       least(e.to_seq, (b.block + 1) << 11) - greatest(e.seq, (b.block << 11) + 1) + 1
		from moved e cross join generate_series((e.seq - 1) >> 11, (e.to_seq - 1) >> 11) as b(block)
		where e.seq < e.to_seq
	) m
	group by 1, 2
	order by 1, 2
	on conflict (job_id, block) do update set
		n_confirm = t.n_confirm + excluded.n_confirm, n_queued = t.n_queued + excluded.n_queued,
		n_notified = t.n_notified + excluded.n_notified, n_in_progress = t.n_in_progress + excluded.n_in_progress,
		n_succeeded = t.n_succeeded + excluded.n_succeeded, n_failed = t.n_failed + excluded.n_failed,
		n_canceled = t.n_canceled + excluded.n_canceled;
	return null;
end $$;
create trigger task_tally_moved after insert on task_event referencing new table as moved
	for each statement execute function task_tally_moved();

-- The time of pace: a machine's time since it was started, moved to what the time was when otad first ran on it. The
-- database's clock may jump, and so may ours with it; a minute of pushes does not get shorter by that.
create table machine (
	boot_id   text collate "C" primary key, -- anew with every start of the machine
	offset_ms bigint not null
);

-- One row per published batch, kept a few minutes: the pace gate is rebuilt from it after a restart. Its times are those
-- of `machine`.
create table push_batch (
	id         bigint primary key,
	claimed_ms bigint not null,
	acked_ms   bigint,                        -- null: outcome not known yet
	job_ids    bigint[] not null,             -- one element per push
	seqs       int[] not null,
	limits     int[] not null                 -- the job's limit when it was claimed
);

-- What remains of push_batch, by month and in its times: n pushes of a job entered the broker between claimed_ms and
-- at_ms. The proof of pace (report_pace).
create table push_log (
	at_ms      bigint not null,               -- when all of the batch was acknowledged, or counted as that
	job_id     bigint not null,
	claimed_ms bigint not null,
	n          int not null,
	per_minute int not null                   -- the job's limit when they were claimed
) partition by range (at_ms);
create index push_log_job on push_log (job_id, claimed_ms);
create table push_log_rest partition of push_log default;

-- Notifications that are still to be published (api §A.3), written in the transaction of what they tell while the
-- account has somebody to read them. The row goes when the broker has acknowledged.
create table notice (
	id         bigint generated always as identity primary key,
	kind       smallint not null,             -- enum notice_kind
	at_ms      bigint not null,
	account_id bigint not null,
	job_id     bigint,
	seq        int,                           -- of a task that ended
	status     smallint,                      -- enum task_state or enum job_status
	device_id  bigint,                        -- of a version that changed
	module     text collate "C",
	detail     text                           -- why the task ended; the version
);

create function notice_job() returns trigger language plpgsql as $$
begin
	insert into notice (kind, at_ms, account_id, job_id, status)
	select 3, new.modified_ms, j.account_id, new.job_id, new.shown from job j
	where j.id = new.job_id
	  and exists (select from service_account a where a.account_id = j.account_id and not a.disabled);
	return null;
end $$;
create trigger notice_job_made after insert on job_run for each row execute function notice_job();
create trigger notice_job_changed after update on job_run for each row when (old.shown <> new.shown)
	execute function notice_job();

-- How far the journal of reports is applied, by the journal's own random id.
create table journal_position (
	journal_id text primary key,
	position   bigint not null,
	modified_ms bigint not null
);

-- Who runs the engine of a shard. Compared by the database's clock.
create table engine_lease (
	shard    int primary key,
	owner    text not null,
	epoch    bigint not null,
	since_ms bigint not null,        -- since when it has been this owner's, over its restarts
	until_ms bigint not null
);

-- The state that everybody has to see: a later bulk order beats the row.
create view task_now as
select t.job_id, t.seq, t.device_id, t.src_version, t.progress, t.created_ms,
       case when o.no is null then t.state else 7 end as state,
       case when o.no is null then t.task_desc else o.reason end as task_desc,
       case when o.no is null then t.modified_ms else o.at_ms end as modified_ms,
       t.order_no, t.retries, t.pushes, t.retry_ms, t.timeout_ms, t.timeout_min, t.state as row_state, o.why as order_why
from task t
join job_run r on r.job_id = t.job_id and t.seq <= r.made_seq
left join lateral (
	select o.no, o.reason, o.why, o.at_ms from job_order o
	where o.job_id = t.job_id and o.no > t.order_no and (o.state_mask >> t.state) & 1 = 1
	order by o.no limit 1
) o on t.order_no < r.order_no;

-- Device status as the API has it (api §8), from the device's row and its session's.
create function device_status(disabled boolean, active_ms bigint, online boolean) returns text
language sql immutable as $$
	select case when disabled then 'DISABLE' when active_ms is null then 'UNACTIVE'
	            when online then 'ONLINE' else 'OFFLINE' end
$$;

-- A device with all that the API shows of it.
create view device_shown as
select d.id, d.product_id, p.account_id, p.instance_id, p.product_key, p.name as product_name, p.category_key, p.node_type,
       d.name, d.nickname, d.secret, d.created_ms, coalesce(d.modified_ms, d.created_ms) as modified_ms, m.version,
       device_status(d.disabled, s.active_ms, s.online) as status, s.ip, s.active_ms, s.online_ms, s.online,
       greatest(s.changed_ms, d.status_ms) as changed_ms
from device d
join product p on p.id = d.product_id
left join device_module m on m.device_id = d.id and m.module = 'default'
left join device_session s on s.device_id = d.id;

-- Which devices are in which group: the members of static groups, and of dynamic ones whatever matches now. Ask it
-- with group_id, device_id or both given. The status is that of device_session, so it follows the broker's word by a
-- tick.
create view device_group_device as
select group_id, device_id from device_group_member
union all
select g.id, d.id
from device_group g
join product p on p.account_id = g.account_id and p.instance_id = g.instance_id
join device d on d.product_id = p.id
where g.kind = 'LINK_PLATFORM_DYNAMIC' and g.deleted_ms is null
  and p.product_key like all (g.like_product_keys) and d.name like all (g.like_names)
  and case when g.like_statuses = '{}' then true else (
	select device_status(d.disabled, s.active_ms, s.online)
	from (select) one left join device_session s on s.device_id = d.id) like all (g.like_statuses) end
  and case when g.tag_keys = '{}' then true else not exists (
	select from unnest(g.tag_keys, g.like_tags) as w(key, pattern)
	left join device_tags t on t.device_id = d.id
	where w.key = 'abc' or (t.tags ->> w.key like w.pattern) is not true) end;

-- Whatever may bring a device into a dynamic group puts it down for the strategies that follow groups, whoever does
-- it; enabling a device, for all. Reports are put down with their versions (tick_versions).
create function strategy_check_made() returns trigger language plpgsql as $$
begin
	insert into strategy_check (product_id, device_id, module, reported_ms)
	select m.product_id, m.id, '', 0 from made m
	where exists (select from strategy s where s.product_id = m.product_id and s.group_id is not null);
	return null;
end $$;
create trigger strategy_check_made after insert on device referencing new table as made
	for each statement execute function strategy_check_made();

create function strategy_check_session() returns trigger language plpgsql as $$
begin
	insert into strategy_check (product_id, device_id, module, reported_ms)
	select distinct d.product_id, d.id, '', 0
	from strategy s
	join device_group g on g.id = s.group_id and g.like_statuses <> '{}'
	join device d on d.product_id = s.product_id
	join changed c on c.device_id = d.id;
	return null;
end $$;
create trigger strategy_check_session_made after insert on device_session referencing new table as changed
	for each statement execute function strategy_check_session();
create trigger strategy_check_session_changed after update on device_session referencing new table as changed
	for each statement execute function strategy_check_session();

create function strategy_check_enabled() returns trigger language plpgsql as $$
begin
	insert into strategy_check (product_id, device_id, module, reported_ms)
	select new.product_id, new.id, '', 0
	where exists (select from strategy s where s.product_id = new.product_id);
	return null;
end $$;
create trigger strategy_check_enabled after update of disabled on device
	for each row when (old.disabled <> new.disabled) execute function strategy_check_enabled();

create function strategy_check_tags() returns trigger language plpgsql as $$
begin
	insert into strategy_check (product_id, device_id, module, reported_ms)
	select d.product_id, d.id, '', 0 from device d
	where d.id = case when tg_op = 'DELETE' then old.device_id else new.device_id end
	  and exists (select from strategy s where s.product_id = d.product_id and s.group_id is not null);
	return null;
end $$;
create trigger strategy_check_tags after insert or update or delete on device_tags
	for each row execute function strategy_check_tags();

-- A static group, those above it and those below it: the devices of all of them are meant by a GROUP job.
create function device_group_family(of_group bigint) returns setof bigint
language sql stable as $$
	with recursive up as (
		select id, parent_id from device_group where id = of_group
		union
		select g.id, g.parent_id from device_group g join up on g.id = up.parent_id
	), down as (
		select id from device_group where id = of_group
		union
		select g.id from device_group g join down on g.parent_id = down.id where g.deleted_ms is null
	)
	select id from up union select id from down
$$;

-- The devices that a job may concern: of its product, enabled, registered before it, judged by the version that
-- they had when it was created (rules §2, §3; api §10.6). Narrowed by whoever asks (names, groups, GRAY). Its product,
-- module and time of creation are said, too, and not looked up, for the planner to know how many they are.
create function job_candidate(of_job bigint, of_product bigint, of_module text, of_ms bigint)
returns table (device_id bigint, name text, version text)
language sql stable as $$
	select d.id, d.name, v.version
	from job j
	join firmware f on f.id = j.firmware_id
	join device d on d.product_id = of_product
	left join device_module m on m.device_id = d.id and m.module = of_module
	left join (
		select distinct on (device_id) device_id, version from version_before
		where module = of_module and until_ms > of_ms order by device_id, until_ms
	) b on b.device_id = d.id
	cross join lateral (
		select case when b.device_id is not null then b.version when m.reported_ms <= of_ms then m.version
			else m.prev_version end as version) v
	where j.id = of_job and not d.disabled and d.created_ms <= of_ms
	  and v.version is distinct from f.dest_version
	  and (j.src_versions = '{}' or v.version = any (j.src_versions))
	  and (f.type = 0 or v.version = f.src_version)
$$;

-- A job with what its answers show besides its settings.
create view job_shown as
select j.id, j.account_id, j.product_id, j.firmware_id, j.kind, j.target_selection, j.src_versions, j.gray_milli,
       j.gray_text, j.dynamic_mode, j.schedule_ms, j.finish_ms, j.retry_interval, j.retry_count, j.timeout_min,
       j.max_per_minute as created_max, j.overwrite_mode, j.need_push, j.need_confirm, j.download_mqtt,
       j.multi_module, j.tag_keys, j.tag_values, j.created_ms, greatest(j.modified_ms, r.modified_ms) as modified_ms,
       r.shown as status, r.max_per_minute, r.started_ms, r.ended_ms, p.product_key, p.name as product_name,
       f.name as firmware_name, f.dest_version, f.module, g.group_id, g.name as group_name
from job j
join job_run r on r.job_id = j.id
join product p on p.id = j.product_id
join firmware f on f.id = j.firmware_id
left join device_group g on g.id = j.group_id;
