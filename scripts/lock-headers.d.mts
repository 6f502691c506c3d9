export declare const lockHeaders: Readonly<Record<string, string>>;
export declare function headersFor(file: string): Readonly<Record<string, string>>;
export declare const metaPolicy: string;
export declare function headersFile(files: readonly string[]): string;
