-- The maker asks again and again which job comes next (making_next): it finds those that are being made and passes over
-- the running ones, which may be thousands. `making` changes three times in a job's life, so the index keeps no update of the
-- counters from being HOT.
create index job_run_in_making on job_run (job_id) where making < 3;
