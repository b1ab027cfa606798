// Numbers in words.

export const duration = (seconds) => {
  if (seconds < 90) return `${Math.max(Math.round(seconds), 1)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
};

export const bytes = (count) => {
  const [unit, factor] = count >= 1e9 ? ['GB', 1e9] : count >= 1e6 ? ['MB', 1e6] : ['kB', 1e3];
  return `${count >= 10 * factor ? Math.round(count / factor) : (count / factor).toFixed(1)} ${unit}`;
};
