-- When autovacuum comes, per table. Its defaults, a fifth of the table, are for tables that change evenly: a fifth of
-- ten million tasks is more than a campaign leaves behind in a day, and what is in the way is read again and again.
-- Updates of a task, a version and a session mostly stay on their page, which PostgreSQL prunes by itself; what changes
-- its place is what is counted here.

-- As large as the fleets and their campaigns.
alter table task set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000,
	autovacuum_analyze_scale_factor = 0.05);
alter table device_module set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
alter table device_session set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
alter table task_tally set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);

-- Rows that come and go: dead ones at the head are in the way of whoever asks for the next one.
alter table active_task set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
alter table timer set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);
alter table credential_change set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
alter table push_batch set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table notice set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table strategy_check set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table version_before set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A few rows, written with every tick.
alter table job_run set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);
alter table live_job set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);
alter table job_order set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);
alter table journal_position set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
alter table engine_lease set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
